"""Audits: what is expected, declared, registered and archived, and what is wrong in between.

An audit is a function of a project and its database that changes nothing and returns a
:class:`~snfpipe.audit.findings.Report`.
"""
