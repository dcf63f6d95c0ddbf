"""What the API takes and answers, apart from the referral itself, which the domain defines."""
