"""Sending referrals to a server over a bad line; reads no files and prints nothing."""
