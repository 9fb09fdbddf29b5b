"""What is known of places, read from data files: legal profiles, public holidays, which country a zone lies in."""
