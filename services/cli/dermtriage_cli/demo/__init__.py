"""The demonstration: its accounts, referrals, course and checks, and the drawn samples."""
