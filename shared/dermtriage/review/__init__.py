"""What clinicians work with: the worklist, one case in full, claims, and decisions.

What a clinic reads or does with its cases is in `clinics`; how a case is triaged is in `cases`.
"""
