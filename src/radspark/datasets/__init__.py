"""Label tables of public chest X-ray sets read into one schema, and their splits by patient."""
