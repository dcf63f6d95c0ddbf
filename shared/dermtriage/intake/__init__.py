"""A referral on its way in: verified, stored, inserted once, and receipted."""
