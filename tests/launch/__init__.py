"""Tests of the operators' launching tools."""
