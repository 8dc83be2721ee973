"""Gets Jittor 1.3.11 running on a machine as it is: `jt = jittor_setup.import_jittor()`.

No download, no output, kernels compiled with prepared headers, CUDA where there is a GPU, NumPy 2 and new Pythons.
A leaf: the standard library, and at the end Jittor. docs/jittor_setup.md is its page.

importing.py    import_jittor, and the hook that a bare `import jittor` may go through; read this first
environment.py  the variables that Jittor reads; onednn.py, cuda_home.py, compiling.py make what they name
repairs.py      a copy of Jittor with what NumPy 2 broke mended
mpi.py          Jittor's MPI and NCCL, in processes that mpirun started
priming.py      the core, compiled in processes that may die of it
startup.py      the start-up file that a user may switch on
float64.py      products and convolutions of float64, which Jittor has as naive loops, on CUDA not at all;
                float64_forms.py, gemm.py, products_cuda.py, computed.py
convolutions.py oneDNN's convolutions by kernels that need no slow reordering
compiling.py    compilers that read headers compiled beforehand: compiler.sh, tuner.sh and build.py do the work;
                kernel_lock.h, turns.h: processes and threads compile kernels at once
"""


def import_jittor():
    """The module jittor, imported so that it works. ImportError says what is missing, and what to install."""
    from jittor_setup import importing

    return importing.import_jittor()


def install_hook() -> None:
    """From now on, a bare `import jittor` in this process is as good."""
    from jittor_setup import importing

    importing.install_hook()
