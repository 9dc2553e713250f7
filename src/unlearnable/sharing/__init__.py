"""What makes results of different people comparable: protocols, records, their page; poisons as files."""
