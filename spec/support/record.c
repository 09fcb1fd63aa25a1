/* Preloaded (LD_PRELOAD), this writes down what a program does below a folder called data, in order: one line each in the
 * file RECORD_INTO, before the call returns. What C's streams write is written down when they are closed.
 *
 *     create PATH             it is there, and empty
 *     content PATH HEX        this is all that is in it
 *     write PATH OFFSET HEX
 *     truncate PATH LENGTH
 *     rename PATH PATH
 *     unlink PATH
 *     sync PATH               of a file or a folder
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(type, name, ...) \
	static type (*real)(__VA_ARGS__); \
	if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define FDS 4096
static char *paths[FDS]; /* by descriptor, of files that are written and of folders */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int below_data(const char *path) {
	size_t length = path ? strlen(path) : 0;
	return getenv("RECORD_INTO") && length >= 5 && (strstr(path, "/data/") || !strcmp(path + length - 5, "/data"));
}

static const char *path_of(int fd) {
	return fd >= 0 && fd < FDS ? paths[fd] : NULL;
}

static void remember(int fd, const char *path) {
	if (fd < 0 || fd >= FDS) return;
	free(paths[fd]);
	paths[fd] = path ? strdup(path) : NULL;
}

static void tell(const char *what, const char *path, const char *more, const void *bytes, size_t count) {
	REAL(ssize_t, "write", int, const void *, size_t);
	static int (*real_open)(const char *, int, ...);
	if (!real_open) real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	int kept = errno;
	char *line = malloc(strlen(what) + strlen(path) + (more ? strlen(more) : 0) + 2 * count + 8);
	if (!line) abort();
	size_t length = sprintf(line, "%s\t%s%s%s%s", what, path, more ? "\t" : "", more ? more : "", bytes ? "\t" : "");
	for (size_t i = 0; i < count; i++) length += sprintf(line + length, "%02x", ((const unsigned char *)bytes)[i]);
	line[length++] = '\n';
	pthread_mutex_lock(&lock);
	int fd = real_open(getenv("RECORD_INTO"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 || real(fd, line, length) != (ssize_t)length) abort();
	close(fd);
	pthread_mutex_unlock(&lock);
	free(line);
	errno = kept;
}

static void tell_number(const char *what, const char *path, long long number, const void *bytes, size_t count) {
	char text[32];
	snprintf(text, sizeof text, "%lld", number);
	tell(what, path, text, bytes, count);
}

/* Streams: Lua's files. */

static FILE *opened(FILE *file, const char *path, const char *mode) {
	if (file && below_data(path) && strpbrk(mode, "wa+")) {
		remember(fileno(file), path);
		if (mode[0] == 'w') tell("create", path, NULL, NULL, 0);
	}
	return file;
}

FILE *fopen(const char *path, const char *mode) {
	REAL(FILE *, "fopen", const char *, const char *);
	return opened(real(path, mode), path, mode);
}

FILE *fopen64(const char *path, const char *mode) {
	REAL(FILE *, "fopen64", const char *, const char *);
	return opened(real(path, mode), path, mode);
}

int fclose(FILE *file) {
	REAL(int, "fclose", FILE *);
	const char *path = path_of(fileno(file));
	if (!path) return real(file);
	char *kept = strdup(path);
	remember(fileno(file), NULL);
	int result = real(file);
	struct stat about;
	int fd = -1;
	static int (*real_open)(const char *, int, ...);
	if (!real_open) real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	if (result == 0 && (fd = real_open(kept, O_RDONLY | O_CLOEXEC)) >= 0 && fstat(fd, &about) == 0) {
		char *bytes = malloc(about.st_size + 1);
		if (!bytes || read(fd, bytes, about.st_size) != about.st_size) abort();
		tell("content", kept, NULL, bytes, about.st_size);
		free(bytes);
	}
	if (fd >= 0) close(fd);
	free(kept);
	return result;
}

/* Descriptors: SQLite's files. */

static int opened_fd(int fd, const char *path, int flags, int was_there) {
	if (fd >= 0 && fd < FDS) remember(fd, below_data(path) ? path : NULL);
	if (path_of(fd) && ((flags & O_TRUNC) || ((flags & O_CREAT) && !was_there))) tell("create", path, NULL, NULL, 0);
	return fd;
}

#define OPEN(name) \
	int name(const char *path, int flags, ...) { \
		static int (*real)(const char *, int, ...); \
		if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
		va_list list; \
		va_start(list, flags); \
		int mode = va_arg(list, int); \
		va_end(list); \
		int was_there = access(path, F_OK) == 0; \
		return opened_fd(real(path, flags, mode), path, flags, was_there); \
	}
OPEN(open)
OPEN(open64)

int close(int fd) {
	REAL(int, "close", int);
	remember(fd, NULL);
	return real(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
	REAL(ssize_t, "write", int, const void *, size_t);
	const char *path = path_of(fd);
	off_t at = path ? lseek(fd, 0, SEEK_CUR) : 0;
	ssize_t result = real(fd, bytes, count);
	if (path && result > 0) tell_number("write", path, at, bytes, result);
	return result;
}

#define PWRITE(name) \
	ssize_t name(int fd, const void *bytes, size_t count, off_t at) { \
		REAL(ssize_t, #name, int, const void *, size_t, off_t); \
		ssize_t result = real(fd, bytes, count, at); \
		if (path_of(fd) && result > 0) tell_number("write", path_of(fd), at, bytes, result); \
		return result; \
	}
PWRITE(pwrite)
PWRITE(pwrite64)

#define TRUNCATE(name) \
	int name(int fd, off_t length) { \
		REAL(int, #name, int, off_t); \
		int result = real(fd, length); \
		if (path_of(fd) && result == 0) tell_number("truncate", path_of(fd), length, NULL, 0); \
		return result; \
	}
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(name) \
	int name(int fd) { \
		REAL(int, #name, int); \
		int result = real(fd); \
		if (path_of(fd) && result == 0) tell("sync", path_of(fd), NULL, NULL, 0); \
		return result; \
	}
SYNC(fsync)
SYNC(fdatasync)

/* Names. */

#define UNLINK(name) \
	int name(const char *path) { \
		REAL(int, #name, const char *); \
		int result = real(path); \
		if (below_data(path) && result == 0) tell("unlink", path, NULL, NULL, 0); \
		return result; \
	}
UNLINK(unlink)
UNLINK(remove)

int rename(const char *from, const char *to) {
	REAL(int, "rename", const char *, const char *);
	int result = real(from, to);
	if (below_data(from) && result == 0) tell("rename", from, to, NULL, 0);
	return result;
}
