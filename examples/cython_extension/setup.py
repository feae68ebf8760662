from Cython.Build import cythonize
from setuptools import Extension, setup

import zarrs_c

setup(
    ext_modules=cythonize([Extension("zarr_peak", ["zarr_peak.pyx"], include_dirs=[zarrs_c.get_include()])])
)
