/* How fast the server's stream comes in while this side's own write is held: the same download twice on one connection,
 * first with nothing pending, then with a DELETE of PENDING bytes written while it runs.
 *
 * stream BYTES PENDING. Prints both speeds in MB/s. */
#include "tls.h"

static char rest[1 << 16];

static void get(struct link *link, long long bytes) {
    char head[512];
    snprintf(head, sizeof head, "GET /stream/%lld HTTP/1.1\r\nHost: %s\r\n\r\n", bytes, need_env("AG_HOST"));
    if (tls_write(link, head, strlen(head)) != 0)
        die("GET");
    /* The head of the answer, one byte at a time so that none of the body is taken. */
    char last[4] = {0};
    while (memcmp(last, "\r\n\r\n", 4) != 0) {
        memmove(last, last + 1, 3);
        if (SSL_read(link->ssl, last + 3, 1) != 1)
            die("answer");
    }
}

static void take(struct link *link, long long bytes) {
    while (bytes > 0) {
        int got = SSL_read(link->ssl, rest, bytes < (long long)sizeof rest ? (int)bytes : (int)sizeof rest);
        if (got <= 0)
            die("stream");
        bytes -= got;
    }
}

static void pend(struct link *link, size_t pending) {
    char head[512], *body = malloc(pending);
    if (body == NULL)
        die("malloc");
    memset(body, 'd', pending);
    snprintf(head, sizeof head, "DELETE /held HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n", need_env("AG_HOST"), pending);
    if (tls_write(link, head, strlen(head)) != 0 || tls_write(link, body, pending) != 0)
        die("DELETE");
    free(body);
}

static double speed(struct link *link, long long bytes, size_t pending) {
    get(link, bytes);
    /* The write falls into the running stream: one part before it, nine parts measured. */
    take(link, bytes / 10);
    if (pending > 0)
        pend(link, pending);
    double before = now_us();
    take(link, bytes - bytes / 10);
    return (double)(bytes - bytes / 10) / (now_us() - before);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    long long bytes = atoll(argv[1]);
    tls_setup();
    struct link link;
    if (tls_open(&link, 0) != 0)
        die("connect");
    (void)speed(&link, bytes, 0);
    double free_speed = speed(&link, bytes, 0);
    double held_speed = speed(&link, bytes, (size_t)atoll(argv[2]));
    printf("{\"free_mb_s\":%.1f,\"held_mb_s\":%.1f}\n", free_speed, held_speed);
    fflush(stdout);
    /* The held request is answered, or refused, before the end. */
    printf("{\"status\":%d}\n", tls_answer(&link));
    return 0;
}
