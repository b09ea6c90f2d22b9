// What stands before a kernel's CUDA C++ so that a C++ compiler of the host takes it. The units of a cube are coroutines on
// one thread: each runs until a barrier or its end, then the next.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__
#define __shared__
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(n)
#define __grid_constant__

struct uint3 {
    unsigned x, y, z;
};
static inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
using dim3 = uint3;
static dim3 threadIdx, blockIdx, blockDim, gridDim;

// A cube's shared memory; filled with NaN before each cube, as a GPU leaves anything there.
alignas(1024) unsigned char dynamic_shared_mem[256 << 10];

using std::abs; // of floats too, as in CUDA
using std::max;
using std::min;
// CUDA's fast versions, whose names the C library has for other things.
#define __expf expf
#define __logf logf
#define __sinf sinf
#define __cosf cosf
#define __powf powf
#define __tanhf tanhf
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frsqrt_rn(float x) { return 1.0f / sqrtf(x); }
static inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline unsigned __umulhi(unsigned x, unsigned y) { return (unsigned)(((unsigned long long)x * y) >> 32); }
// Units run one after another.
template <class T> static inline T atomicAdd(T *to, T x) { T was = *to; *to += x; return was; }
template <class T> static inline T atomicExch(T *to, T x) { T was = *to; *to = x; return was; }

namespace host {
constexpr size_t STACK = 128 << 10;
static ucontext_t scheduler;
struct Unit {
    ucontext_t context;
    dim3 index;
    bool done;
};
static Unit *running;
static void (*body)();

static void enter() {
    body();
    running->done = true;
    swapcontext(&running->context, &scheduler);
}

// Runs the units of one cube between barriers, in either order. Barriers that only some units reach are an error.
static void run_cube(std::vector<Unit> &units, std::vector<char> &stacks, bool backwards) {
    const size_t count = units.size();
    for (size_t at = 0; at < count; at++) {
        Unit &unit = units[at];
        unit.done = false;
        getcontext(&unit.context);
        unit.context.uc_stack.ss_sp = stacks.data() + at * STACK;
        unit.context.uc_stack.ss_size = STACK;
        unit.context.uc_link = nullptr;
        makecontext(&unit.context, enter, 0);
    }
    for (size_t ended = 0; ended < count;) {
        for (size_t turn = 0; turn < count; turn++) {
            running = &units[backwards ? count - 1 - turn : turn];
            threadIdx = running->index;
            swapcontext(&scheduler, &running->context);
        }
        ended = 0;
        for (const Unit &unit : units) ended += unit.done;
        if (ended != 0 && ended != count) {
            fprintf(stderr, "a barrier was reached by %zu of %zu units\n", count - ended, count);
            abort();
        }
    }
}

template <class K> struct Arguments;
template <class... A> struct Arguments<void (*)(A...)> {
    using Types = std::tuple<A...>;
};
template <class A> static A argument(void *const *pointers, size_t at, const void *info) {
    if constexpr (std::is_pointer_v<A>)
        return reinterpret_cast<A>(pointers[at]);
    else
        return *static_cast<const A *>(info);
}
template <class K, size_t... I>
static void call(K kernel, void *const *pointers, const void *info, std::index_sequence<I...>) {
    kernel(argument<std::tuple_element_t<I, typename Arguments<K>::Types>>(pointers, I, info)...);
}

static void *const *pointers;
static const void *info;
template <auto KERNEL> static void call_here() {
    using K = decltype(KERNEL);
    call(KERNEL, pointers, info, std::make_index_sequence<std::tuple_size_v<typename Arguments<K>::Types>>());
}

// `buffers` are the kernel's pointers in their order, the dynamic metadata behind them.
template <auto KERNEL>
static void launch(void *const *buffers, const void *constants, const unsigned *grid, const unsigned *block, bool backwards,
                   bool barriers) {
    pointers = buffers;
    info = constants;
    body = call_here<KERNEL>;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    std::vector<Unit> units((size_t)block[0] * block[1] * block[2]);
    for (size_t at = 0; at < units.size(); at++)
        units[at].index = {unsigned(at % block[0]), unsigned(at / block[0] % block[1]), unsigned(at / block[0] / block[1])};
    std::vector<char> stacks(barriers ? units.size() * STACK : 0);
    const size_t cubes = (size_t)grid[0] * grid[1] * grid[2];
    for (size_t turn = 0; turn < cubes; turn++) {
        const size_t cube = backwards ? cubes - 1 - turn : turn;
        blockIdx = {unsigned(cube % grid[0]), unsigned(cube / grid[0] % grid[1]), unsigned(cube / grid[0] / grid[1])};
        if (barriers) {
            memset(dynamic_shared_mem, 0xff, sizeof dynamic_shared_mem);
            run_cube(units, stacks, backwards);
            continue;
        }
        for (size_t at = 0; at < units.size(); at++) {
            threadIdx = units[backwards ? units.size() - 1 - at : at].index;
            body();
        }
    }
}
} // namespace host

static inline void __syncthreads() { swapcontext(&host::running->context, &host::scheduler); }
