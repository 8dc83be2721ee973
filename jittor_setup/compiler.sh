#!/bin/sh
# The C++ compiler as Jittor calls it: g++, with the headers that all kernels read compiled beforehand.
#
# JITTOR_SETUP_CXX is the real compiler; JITTOR_SETUP_HEADERS the folder of compiled headers (compiling.py makes it),
# empty or "0" where they are switched off. build.py compiles the headers, and the files of Jittor's core.
# What is not known here goes to the real compiler as it is.
cxx=${JITTOR_SETUP_CXX:-g++}
folder=${JITTOR_SETUP_HEADERS:-0}
[ "$folder" != 0 ] && [ -d "$folder" ] || exec "$cxx" "$@"
linker= # gold takes a third of the time, and binutils has it on most machines
command -v ld.gold >/dev/null && linker=-fuse-ld=gold
case "$*" in
    *\ -include\ * | *\ -x\ *) exec "$cxx" "$@" ;;
    */jit/*_op.cc*) ;;
    */jit/*_op.s*) exec "$cxx" $linker "$@" ;; # what the tuner has rewritten
    */jittor/src/*.cc* | */gen/*.cc*) exec "$JITTOR_SETUP_PYTHON" -IS "${0%/*}/build.py" "$folder" "$cxx" "$@" ;;
    *) exec "$cxx" "$@" ;;
esac

flags= # those that a compiled header has to share with the kernel
for argument; do
    case $argument in
        -I*dnnl*) flags="$flags $argument" ;; # oneDNN's kernels read its header, too
        -c | -S | -o | -shared | -[lLI]* | -Wl,*) ;;
        -*) flags="$flags $argument" ;;
    esac
done
case "$flags " in # the tuner needs the numbers of lines, and no more
    *\ -g\ *) set -- "$@" -g1 ;;
esac
number=$(printf %s "$flags" | cksum)
home=$folder/kernel-${number%% *}
[ -d "$home" ] || "$JITTOR_SETUP_PYTHON" -IS "${0%/*}/build.py" "$home" "$cxx" "$@"
[ -f "$home/kernel.h.gch" ] || exec "$cxx" "$@"
if [ -d "$home/include" ]; then # copies of Jittor's headers; a kernel that needs the originals gets them
    said=$("$cxx" $linker "-I$home/include" -include "$home/kernel.h" "$@" 2>&1) || exec "$cxx" $linker "$@"
    [ -z "$said" ] || printf '%s\n' "$said" >&2
    exit 0
fi
exec "$cxx" $linker -include "$home/kernel.h" "$@"
