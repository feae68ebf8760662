from setuptools import Extension, setup

import zarrs_c

setup(ext_modules=[Extension("zarr_sum", ["zarr_sum.c"], include_dirs=[zarrs_c.get_include()])])
