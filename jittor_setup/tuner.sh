#!/bin/sh
# The Python that Jittor starts for each kernel, to run its tuner: PYTHON .../asm_tuner.py --cc_path=COMPILER KERNEL_op.cc ...
#
# The tuner rewrites the assembler code behind lines marked "@begin"; a kernel without one goes to the compiler at once.
if [ "${JITTOR_SETUP_HEADERS:-0}" != 0 ] && [ $# -gt 3 ]; then
    case "$1 $2 $3" in
        */asm_tuner.py\ --cc_path=*\ *_op.cc)
            if [ -r "$3" ] && ! grep -q @begin "$3"; then
                compiler=${2#--cc_path=}
                shift 2
                exec "$compiler" "$@"
            fi ;;
    esac
fi
exec "${JITTOR_SETUP_PYTHON:-python3}" "$@"
