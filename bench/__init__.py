import os

# Numbers are crunched in small blocks: several threads for one block only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
