// In front of Jittor's jit_compiler.cc, with a KernelLock in its compile() (build.py): processes that compile wait for
// each other over the same kernel only. Jittor's own lock is one for all kernels: two processes compiled in turns.
//
// A kernel is a byte of Jittor's lock file, so a Jittor without this, which locks the whole file, is waited for as well.
// The locks belong to open files (Linux), not to the process: threads of one process hold them against each other, and
// they end with it.
#pragma once
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <stdexcept>
#include <string>
#include <unistd.h>

#include "turns.h"

namespace jittor {

extern bool disable_lock; // of Jittor's own lock

static std::string kernel_lock_path; // "": Jittor's own lock is in use

static int kernel_lock(int file, int command, short type, off_t byte) {
    struct flock lock = {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    int result;
    do result = fcntl(file, command, &lock);
    while (result && errno == EINTR); // a child has ended
    return result;
}

struct KernelLock {
    Pause pause; // until the kernel is there: whoever has it may wait for a turn
    int file = -1;
    off_t byte = 0;

    explicit KernelLock(const std::string& kernel) {
        if (kernel_lock_path.empty()) return;
        byte = std::hash<std::string>()(kernel) & 0x3fffffffffffffff;
        file = open(kernel_lock_path.c_str(), O_RDWR | O_CLOEXEC);
        if (file >= 0 && !kernel_lock(file, F_OFD_SETLKW, F_WRLCK, byte)) return;
        std::string reason = kernel_lock_path + " cannot be locked: " + strerror(errno);
        if (file >= 0) close(file);
        throw std::runtime_error(reason);
    }
    ~KernelLock() {
        if (file < 0) return;
        kernel_lock(file, F_OFD_SETLK, F_UNLCK, byte); // also where a forked process has the file open
        close(file);
    }
    KernelLock(const KernelLock&) = delete;
};

} // namespace jittor

// From now on kernels have locks of their own, in this file; false, and nothing changes, where the file has no such locks.
extern "C" bool jittor_setup_lock_kernels(const char* path) {
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return false;
    bool able = !jittor::kernel_lock(file, F_OFD_GETLK, F_WRLCK, 0);
    close(file);
    if (!able) return false;
    jittor::kernel_lock_path = path;
    jittor::disable_lock = true;
    return true;
}
