"""`submit`: send a clinic's photographs."""

from typing import Annotated

import typer

from dermtriage_cli.terminal.options import SERVER, Json, MetadataTable, Photographs, Server
from dermtriage_cli.terminal.output import (
    err,
    out,
    print_error,
    print_json,
    print_left_out,
    progress,
)


def submit(
    photographs: Photographs,
    api_key: Annotated[
        str,
        typer.Option(
            envvar="DERMTRIAGE_API_KEY",
            help="The clinic's API key. Set it in the environment: others can see command lines.",
        ),
    ],
    server: Server = SERVER,
    metadata: MetadataTable = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=16, help="Number of cases sent at the same time.")
    ] = 4,
    as_json: Json = False,
) -> None:
    """Send photographs: each is a case, or a CSV file groups them into cases.

    On a bad line, each case is tried up to eight times, with growing pauses. It is safe to send
    again: the same photographs with the same metadata are the same case. Other files of a folder
    are named and left out. Exits 1 if any case was not accepted, or a file that the CSV file names
    was left out.

    Columns of the CSV file: image, case, image_type, and the fields of a referral (priority,
    clinic_reference, patient_id, lesion_id, age_approx, sex, anatom_site,
    fitzpatrick_skin_type, clin_size_long_diam_mm, personal_hx_mm, family_hx_mm, onset_date,
    replaces_case_id). Rows with the same `case` form one case. File names are not sent.

    Example: dermtriage submit photos/ --metadata photos.csv --server https://triage.example
    """
    from dermtriage_cli.api_client import open_client
    from dermtriage_cli.clinic_files.photographs import find_photographs
    from dermtriage_cli.clinic_files.referrals import not_sendable, read_referrals
    from dermtriage_cli.submission.sender import send_all
    from dermtriage_cli.views.receipts import receipts_table

    found = find_photographs(photographs, metadata)
    print_left_out(found.left_out)
    referrals = read_referrals(found.photographs, metadata)
    receipts, failures = [], []
    with open_client(server, api_key) as client, progress() as bars:
        sending = bars.add_task("Sending cases", total=len(referrals))
        for result in send_all(client, referrals, concurrency=concurrency):
            if result.receipt:
                receipts.append((result.referral.name, result.receipt))
            else:
                failures.append((result.referral.name, result.error))
            bars.advance(sending)
    if as_json:
        print_json(
            {
                "receipts": [{"sent": name, **receipt} for name, receipt in receipts],
                "failures": [
                    {"sent": name, "code": error.code, "error": str(error)}
                    for name, error in failures
                    if error
                ],
            }
        )
    elif receipts:
        out.print(receipts_table(receipts))
    for name, error in failures:
        print_error(f"{name}: {error}")
    if failures:
        err.print(f"{len(failures)} of {len(referrals)} cases were not accepted.")
    missed = not_sendable(found.left_out, metadata)
    for path in missed:
        print_error(f"{path} is in the table and was not sent. Export it as JPEG, and send it.")
    if failures or missed:
        raise typer.Exit(1)
