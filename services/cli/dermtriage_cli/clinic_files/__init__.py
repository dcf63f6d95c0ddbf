"""A clinic's files: photographs, the CSV table, and the referrals made of both; sends nothing."""
