// In front of Jittor's parallel_compiler.cc, with a Turn for each kernel that one of its threads takes (build.py): what
// writes a kernel's source was not made for threads, and such threads have crashed. While the compiler runs the turn is
// another's: a Pause, of kernel_lock.h.
#pragma once
#include <mutex>

namespace jittor {

inline std::mutex& turn() {
    static std::mutex one;
    return one;
}

inline bool& has_turn() {
    static thread_local bool has = false;
    return has;
}

struct Turn {
    Turn() { turn().lock(), has_turn() = true; }
    ~Turn() { has_turn() = false, turn().unlock(); }
    Turn(const Turn&) = delete;
};

struct Pause {
    const bool had = has_turn();
    Pause() {
        if (had) has_turn() = false, turn().unlock();
    }
    ~Pause() {
        if (had) turn().lock(), has_turn() = true;
    }
    Pause(const Pause&) = delete;
};

} // namespace jittor
