/* GPIO chips without a kernel, for the unmodified gpiod library: LD_PRELOAD takes its system calls.
 *
 * The second version of the kernel's interface, as in linux/gpio.h and in the kernel's documentation
 * (userspace-api/gpio/chardev): names, values, edges with their times and numbers, a buffer that drops its oldest
 * events, lines in use, a chip that goes. No debouncing. The test calls shim_*() in the same process and thread.
 *
 * A chip is known by the path of its device; the test puts an empty file there, so that folders list it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define MAX_CHIPS 256
#define MAX_LINES 32
#define MAX_REQUESTS 32
#define MAX_EVENTS 1024
#define MAJOR 254
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct chip {
    char path[PATH_MAX];
    char label[GPIO_MAX_NAME_SIZE];
    char names[MAX_LINES][GPIO_MAX_NAME_SIZE];
    unsigned lines;
    int level[MAX_LINES]; /* on the wire */
    int gone;
    int refuses; /* errno for whoever opens it */
};

struct request {
    int used, fd, feed; /* events: read from fd, written to feed */
    struct chip *chip;
    struct gpio_v2_line_request asked;
    unsigned seqno, line_seqno[GPIO_V2_LINES_MAX];
};

static struct chip chips[MAX_CHIPS];
static unsigned chip_count;
static struct request requests[MAX_REQUESTS];
static struct { int fd; struct chip *chip; } opened[MAX_REQUESTS];

static struct chip *chip_at(const char *path) {
    for (unsigned i = 0; i < chip_count; i++)
        if (!chips[i].gone && strcmp(chips[i].path, path) == 0)
            return &chips[i];
    return NULL;
}

static struct chip *chip_of(int fd) {
    for (unsigned i = 0; i < MAX_REQUESTS; i++)
        if (opened[i].chip && opened[i].fd == fd)
            return opened[i].chip;
    return NULL;
}

static struct request *request_of(int fd) {
    for (unsigned i = 0; i < MAX_REQUESTS; i++)
        if (requests[i].used && requests[i].fd == fd)
            return &requests[i];
    return NULL;
}

static int fail(int why) {
    errno = why;
    return -1;
}

/* Where a line stands in a request; -1: it is not in it. */
static int place_of(const struct request *request, const struct chip *chip, unsigned offset) {
    for (unsigned k = 0; request->used && request->chip == chip && k < request->asked.num_lines; k++)
        if (request->asked.offsets[k] == offset)
            return (int)k;
    return -1;
}

/* The settings of the line at this place of a request: its own, or those of all. */
static __u64 flags_of(const struct request *request, unsigned place) {
    const struct gpio_v2_line_config *config = &request->asked.config;
    for (unsigned i = 0; i < config->num_attrs; i++)
        if (config->attrs[i].attr.id == GPIO_V2_LINE_ATTR_ID_FLAGS && config->attrs[i].mask >> place & 1)
            return config->attrs[i].attr.flags;
    return config->flags;
}

static int logical(const struct request *request, unsigned place, int level) {
    return level ^ !!(flags_of(request, place) & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
}

static void put_event(struct request *request, const struct gpio_v2_line_event *event) {
    unsigned capacity = request->asked.event_buffer_size;
    struct gpio_v2_line_event oldest;
    int bytes = 0;
    if (capacity == 0)
        capacity = 16 * request->asked.num_lines;
    if (capacity > MAX_EVENTS)
        capacity = MAX_EVENTS;
    ioctl(request->fd, FIONREAD, &bytes);
    if (bytes / sizeof oldest >= capacity && REAL(read)(request->fd, &oldest, sizeof oldest) < 0)
        abort();
    if (write(request->feed, event, sizeof *event) != sizeof *event)
        abort();
}

static void change(struct request *request, unsigned place, int level) {
    __u64 flags = flags_of(request, place);
    int rose = logical(request, place, level);
    struct timespec now;
    if (!(flags & (rose ? GPIO_V2_LINE_FLAG_EDGE_RISING : GPIO_V2_LINE_FLAG_EDGE_FALLING)))
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct gpio_v2_line_event event = {
        .timestamp_ns = now.tv_sec * 1000000000ull + now.tv_nsec,
        .id = rose ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE,
        .offset = request->asked.offsets[place],
        .seqno = ++request->seqno,
        .line_seqno = ++request->line_seqno[place],
    };
    put_event(request, &event);
}

/* What the test calls. */

int shim_add(const char *path, const char *label, unsigned lines) {
    if (chip_count == MAX_CHIPS || lines > MAX_LINES)
        return fail(ENOSPC);
    struct chip *chip = &chips[chip_count];
    strncpy(chip->path, path, sizeof chip->path - 1);
    strncpy(chip->label, label, sizeof chip->label - 1);
    chip->lines = lines;
    return (int)chip_count++;
}

void shim_name(int chip, unsigned offset, const char *name) {
    strncpy(chips[chip].names[offset], name, GPIO_MAX_NAME_SIZE - 1);
}

void shim_pull(int chip, unsigned offset, int level) {
    if (chips[chip].level[offset] == level)
        return;
    chips[chip].level[offset] = level;
    for (unsigned i = 0; i < MAX_REQUESTS; i++) {
        int place = place_of(&requests[i], &chips[chip], offset);
        if (place >= 0)
            change(&requests[i], place, level);
    }
}

int shim_level(int chip, unsigned offset) {
    return chips[chip].level[offset];
}

void shim_refuse(int chip, int why) {
    chips[chip].refuses = why;
}

/* woken: as kernels do from 6.6 on, whoever waits for the chip's edges is woken. */
void shim_remove(int chip, int woken) {
    chips[chip].gone = 1;
    for (unsigned i = 0; i < MAX_REQUESTS; i++)
        if (woken && requests[i].used && requests[i].chip == &chips[chip]) {
            REAL(close)(requests[i].feed);
            requests[i].feed = -1;
        }
}

/* What the library calls. */

static int open_chip(struct chip *chip) {
    if (chip->refuses)
        return fail(chip->refuses);
    for (unsigned i = 0; i < MAX_REQUESTS; i++)
        if (!opened[i].chip) {
            opened[i].chip = chip;
            return opened[i].fd = REAL(open)("/dev/null", O_RDWR | O_CLOEXEC);
        }
    return fail(EMFILE);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    struct chip *chip = chip_at(path);
    return chip ? open_chip(chip) : REAL(open)(path, flags, mode);
}

static int as_device(const char *path, int result, struct stat *found) {
    struct chip *chip = chip_at(path);
    if (result == 0 && chip) {
        found->st_mode = S_IFCHR | 0660;
        found->st_rdev = makedev(MAJOR, chip - chips);
    }
    return result;
}

int stat(const char *path, struct stat *found) { return as_device(path, REAL(stat)(path, found), found); }
int lstat(const char *path, struct stat *found) { return as_device(path, REAL(lstat)(path, found), found); }
int __xstat(int version, const char *path, struct stat *found) { return stat(path, found); }
int __lxstat(int version, const char *path, struct stat *found) { return lstat(path, found); }

/* The library looks up in /sys which subsystem a device belongs to. */
char *realpath(const char *path, char *resolved) {
    static const char device[] = "/sys/dev/char/254:";
    if (strncmp(path, device, sizeof device - 1) != 0)
        return REAL(realpath)(path, resolved);
    if (!resolved)
        resolved = malloc(PATH_MAX);
    return strcpy(resolved, "/sys/bus/gpio");
}

static int take_lines(struct chip *chip, struct gpio_v2_line_request *asked) {
    struct request *slot = NULL;
    int ends[2];
    for (unsigned i = 0; i < MAX_REQUESTS; i++) {
        if (!requests[i].used)
            slot = &requests[i];
        for (unsigned k = 0; k < asked->num_lines; k++)
            if (place_of(&requests[i], chip, asked->offsets[k]) >= 0)
                return fail(EBUSY);
    }
    if (!slot || pipe2(ends, O_CLOEXEC) != 0)
        return fail(EMFILE);
    *slot = (struct request){.used = 1, .fd = ends[0], .feed = ends[1], .chip = chip, .asked = *asked};
    for (unsigned k = 0; k < asked->num_lines; k++) {
        __u64 flags = flags_of(slot, k);
        int *level = &chip->level[asked->offsets[k]];
        if (flags & GPIO_V2_LINE_FLAG_BIAS_PULL_UP)
            *level = 1;
        if (flags & GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN)
            *level = 0;
        for (unsigned i = 0; flags & GPIO_V2_LINE_FLAG_OUTPUT && i < asked->config.num_attrs; i++) {
            struct gpio_v2_line_config_attribute *one = &asked->config.attrs[i];
            if (one->attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES && one->mask >> k & 1)
                *level = logical(slot, k, one->attr.values >> k & 1);
        }
    }
    asked->fd = slot->fd;
    return 0;
}

static int chip_call(struct chip *chip, unsigned call, void *argument) {
    if (call == GPIO_GET_CHIPINFO_IOCTL) {
        struct gpiochip_info *told = argument;
        memset(told, 0, sizeof *told);
        strncpy(told->name, strrchr(chip->path, '/') + 1, sizeof told->name - 1);
        memcpy(told->label, chip->label, sizeof told->label);
        told->lines = chip->lines;
        return 0;
    }
    if (call == GPIO_V2_GET_LINEINFO_IOCTL) {
        struct gpio_v2_line_info *told = argument;
        unsigned offset = told->offset;
        if (offset >= chip->lines)
            return fail(EINVAL);
        memset(told, 0, sizeof *told);
        told->offset = offset;
        told->flags = GPIO_V2_LINE_FLAG_INPUT;
        memcpy(told->name, chip->names[offset], sizeof told->name);
        return 0;
    }
    return call == GPIO_V2_GET_LINE_IOCTL ? take_lines(chip, argument) : fail(ENOTTY);
}

static int line_call(struct request *request, unsigned call, struct gpio_v2_line_values *values) {
    if (call != GPIO_V2_LINE_GET_VALUES_IOCTL && call != GPIO_V2_LINE_SET_VALUES_IOCTL)
        return fail(ENOTTY);
    if (call == GPIO_V2_LINE_GET_VALUES_IOCTL)
        values->bits = 0;
    for (unsigned k = 0; k < request->asked.num_lines; k++) {
        int *level = &request->chip->level[request->asked.offsets[k]];
        if (!(values->mask >> k & 1))
            continue;
        if (call == GPIO_V2_LINE_SET_VALUES_IOCTL)
            *level = logical(request, k, values->bits >> k & 1);
        else if (logical(request, k, *level))
            values->bits |= 1ull << k;
    }
    return 0;
}

int ioctl(int fd, unsigned long call, ...) {
    va_list rest;
    va_start(rest, call);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    struct chip *chip = chip_of(fd);
    struct request *request = request_of(fd);
    if (call == FIONREAD || (!chip && !request))
        return REAL(ioctl)(fd, call, argument);
    if ((chip ? chip : request->chip)->gone)
        return fail(ENODEV);
    return chip ? chip_call(chip, call, argument) : line_call(request, call, argument);
}

ssize_t read(int fd, void *buffer, size_t count) {
    struct request *request = request_of(fd);
    return request && request->chip->gone ? fail(ENODEV) : REAL(read)(fd, buffer, count);
}

int close(int fd) {
    struct request *request = request_of(fd);
    if (request) {
        if (request->feed >= 0)
            REAL(close)(request->feed);
        request->used = 0;
    }
    for (unsigned i = 0; i < MAX_REQUESTS; i++)
        if (opened[i].fd == fd)
            opened[i].chip = NULL;
    return REAL(close)(fd);
}
