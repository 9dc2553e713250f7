"""What a job and a sweep found: records, cells over seeds, comparisons. No plotting here."""
