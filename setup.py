"""Python side of the package, described in setup.cfg. Dependencies: requirements.txt."""

from setuptools import setup

setup()
