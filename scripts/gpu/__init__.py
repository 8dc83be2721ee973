"""What `python -m scripts.gpu_check` does on a GPU that is lent for minutes; read plan.py first.

plan.py     the steps: order, what each costs and is worth; what fits into the seconds that are left
runner.py   runs one step in a process of its own, kernels compiling in the background
watcher.py  ends what was started when the check itself is killed
results.py  the file that holds everything found so far, written after every step
work.py     the steps that are not another script's, in parts; harness.py holds all that they take from parity
warm.py     compiles kernels of later steps, warming.py says which; timing.py times one framework with one switch
pretend.py, pretend_torch.py   a GPU that is not there, for Jittor's compiler and for PyTorch's placing of tensors
emulated.py, emulated/  CUDA's words and libraries for g++: kernels run on the CPU
keep.py     what a lease found, made ready to be committed
packages.py lists what lease_pack.sh packs
lease_pack.sh, lease_run.sh   carry the project to a machine without a network, and run it there
"""
