"""Getting Jittor ready on a machine: a leaf that imports neither Jittor nor anything of this project.

compiling.py    compilers that read headers compiled beforehand: compiler.sh, tuner.sh and build.py do the work
"""
