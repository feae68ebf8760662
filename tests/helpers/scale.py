"""How much is generated: `ZARRS_C_TEST_SCALE` multiplies the arrays and selections of the tests that make them up."""

import os

SCALE = float(os.environ.get("ZARRS_C_TEST_SCALE", "1"))
