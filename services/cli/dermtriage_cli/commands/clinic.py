"""`submit`: what a clinic does."""

from typing import Annotated

import typer

from dermtriage_cli.commands.options import SERVER, Json, Photographs, Server, Table
from dermtriage_cli.output import complain, err, out, print_json, progress


def submit(
    photographs: Photographs,
    api_key: Annotated[
        str,
        typer.Option(
            envvar="DERMTRIAGE_API_KEY",
            help="The clinic's key. Better set in the environment: others see command lines.",
        ),
    ],
    server: Server = SERVER,
    metadata: Table = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=16, help="Cases that are sent side by side.")
    ] = 4,
    as_json: Json = False,
) -> None:
    """Send photographs: one case each, or as the CSV file groups them.

    A bad line is met with patience: what fails is sent again, up to eight times, with growing
    pauses. The same photographs with the same metadata are the same case, however often they
    are sent. Exits 1 if any case was not taken.

    Columns of the CSV file: image, case, image_type, and those of a referral (priority,
    clinic_reference, patient_id, lesion_id, age_approx, sex, anatom_site,
    fitzpatrick_skin_type, clin_size_long_diam_mm, personal_hx_mm, family_hx_mm, onset_date,
    replaces_case_id). Rows with the same `case` are one case; the file names are not sent.

    Example: dermtriage submit photos/ --metadata photos.csv --server https://triage.example
    """
    from dermtriage_cli.client import open_client
    from dermtriage_cli.referrals import referrals_of
    from dermtriage_cli.sender import send_all
    from dermtriage_cli.views import receipts_table

    referrals = referrals_of(photographs, metadata)
    receipts, failures = [], []
    with open_client(server, api_key) as client, progress() as bars:
        sending = bars.add_task("Sending cases", total=len(referrals))
        for one in send_all(client, referrals, concurrency=concurrency):
            if one.receipt:
                receipts.append((one.referral.name, one.receipt))
            else:
                failures.append((one.referral.name, one.error))
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
        complain(f"{name}: {error}")
    if failures:
        err.print(f"{len(failures)} of {len(referrals)} cases were not taken.")
        raise typer.Exit(1)
