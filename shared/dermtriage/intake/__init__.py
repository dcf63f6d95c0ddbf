"""Intake of referrals: checked, stored, inserted once per request, and acknowledged by a receipt.

Does not score, and does not send messages.
"""
