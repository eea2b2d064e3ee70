"""``snf audit``: what is missing, unexpected or wrong in the configured production."""

from __future__ import annotations

import click

from snfpipe.cli.audit_output import print_reports, report_options
from snfpipe.config import load_project


@click.command()
@click.option("--verify", is_flag=True, help="Read every file: checksum, structure of FITS files.")
@report_options
def audit(verify: bool, as_json: bool, as_csv: bool, only_findings: bool) -> int:
    """Hold what is owed against what is declared, registered and archived.

    Owed is what follows from the raw exposures and the plans' rules. Ends with 1 where something
    is missing, unexpected or wrong.

    \b
    Example:
      snf audit
      snf audit --verify
      snf audit --csv --findings > findings.csv
    """
    from snfpipe.audit.products import audit_products
    from snfpipe.db.session import open_database

    project = load_project()
    database = open_database(project.site.database_url, project.root)
    try:
        report = audit_products(project, database, verify=verify)
    finally:
        database.close()
    return print_reports([report], as_json=as_json, as_csv=as_csv, only_findings=only_findings)
