#define _GNU_SOURCE
/* What the C clients share: connect, handshake, write all, read one answer. Errors that no test provokes end the program. */
#ifndef AG_TLS_H
#define AG_TLS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct link {
    SSL *ssl;
    int fd;
};

static SSL_CTX *tls_context;

static inline void die(const char *what) {
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

static inline const char *need_env(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set\n", name);
        exit(2);
    }
    return value;
}

static inline void tls_setup(void) {
    signal(SIGPIPE, SIG_IGN);
    tls_context = SSL_CTX_new(TLS_client_method());
    if (tls_context == NULL || SSL_CTX_load_verify_locations(tls_context, need_env("AG_CA"), NULL) != 1)
        die("CA certificate");
    SSL_CTX_set_verify(tls_context, SSL_VERIFY_PEER, NULL);
}

/* A connected socket to AG_DIAL:AG_PORT, or -1. An address with a colon is dialled by an AF_INET6 socket. */
static inline int dial(int nodelay) {
    const char *address = need_env("AG_DIAL");
    struct sockaddr_storage storage = {0};
    socklen_t length;
    if (strchr(address, ':') != NULL) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)atoi(need_env("AG_PORT")));
        if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1)
            die(address);
        length = sizeof *v6;
    } else {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)atoi(need_env("AG_PORT")));
        if (inet_pton(AF_INET, address, &v4->sin_addr) != 1)
            die(address);
        length = sizeof *v4;
    }
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (nodelay && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof nodelay) != 0)
        die("TCP_NODELAY");
    if (connect(fd, (struct sockaddr *)&storage, length) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Connects and shakes hands. 0, or -1 when the other side (or the guard) breaks it off. */
static inline int tls_open(struct link *link, int nodelay) {
    link->ssl = NULL;
    link->fd = dial(nodelay);
    if (link->fd < 0)
        return -1;
    link->ssl = SSL_new(tls_context);
    if (link->ssl == NULL || SSL_set1_host(link->ssl, need_env("AG_HOST")) != 1 ||
        SSL_set_tlsext_host_name(link->ssl, need_env("AG_HOST")) != 1 || SSL_set_fd(link->ssl, link->fd) != 1)
        die("SSL_new");
    if (SSL_connect(link->ssl) != 1) {
        ERR_clear_error();
        SSL_free(link->ssl);
        close(link->fd);
        link->ssl = NULL;
        link->fd = -1;
        return -1;
    }
    return 0;
}

/* Ends it as a client does that gave up: no close_notify, the socket is closed. */
static inline void tls_close(struct link *link) {
    if (link->ssl != NULL) {
        SSL_free(link->ssl);
        close(link->fd);
    }
    link->ssl = NULL;
    link->fd = -1;
}

/* 0 when all was taken. */
static inline int tls_write(struct link *link, const char *bytes, size_t length) {
    while (length > 0) {
        int now = length > 1 << 20 ? 1 << 20 : (int)length;
        int taken = SSL_write(link->ssl, bytes, now);
        if (taken <= 0) {
            ERR_clear_error();
            return -1;
        }
        bytes += taken;
        length -= (size_t)taken;
    }
    return 0;
}

/* Reads one answer with a Content-Length and throws its body away. The status, or -1 when it breaks or times out. */
static inline int tls_answer(struct link *link) {
    char head[4096];
    size_t have = 0;
    char *end = NULL;
    while (end == NULL) {
        if (have == sizeof head - 1)
            return -1;
        int got = SSL_read(link->ssl, head + have, (int)(sizeof head - 1 - have));
        if (got <= 0) {
            ERR_clear_error();
            return -1;
        }
        have += (size_t)got;
        head[have] = 0;
        end = strstr(head, "\r\n\r\n");
    }
    int status = -1;
    sscanf(head, "HTTP/1.1 %d", &status);
    char *field = strcasestr(head, "content-length:");
    long long left = (field != NULL && field < end ? atoll(field + 15) : 0) - (long long)(have - (size_t)(end + 4 - head));
    static __thread char rest[1 << 16];
    while (left > 0) {
        int got = SSL_read(link->ssl, rest, left < (long long)sizeof rest ? (int)left : (int)sizeof rest);
        if (got <= 0) {
            ERR_clear_error();
            return -1;
        }
        left -= got;
    }
    return status;
}

/* SSL_read gives up after this long. */
static inline void tls_patience(struct link *link, long milliseconds) {
    struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
    if (setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) != 0)
        die("SO_RCVTIMEO");
}

static inline double now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static inline int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

#endif
