/* Two threads write at the same moment, each on a TLS connection of its own: A a DELETE, which must be held, and B a GET,
 * which must not notice. Says how long B's requests took; the server says whether a DELETE came through.
 *
 * two_threads TRIALS kept|new nagle|nodelay upload|quiet
 *
 * A's connections stay open for DEPTH further trials, so that a request that escapes late (a retransmission timer, an
 * address given to another connection's TLS object) has the time to do so. */
#include "tls.h"

enum { DEPTH = 8, WARM = 20 };

static pthread_barrier_t start, end;
static int trials, kept, nodelay, b_failed;
static double *took;
static volatile int done;

static char request_a[512], request_b[512];

static void ready(struct link *link) {
    if (tls_open(link, nodelay) != 0)
        die("connect");
}

static void *thread_a(void *unused) {
    struct link ring[DEPTH] = {0};
    for (int i = 0; i < trials; i++) {
        struct link *link = &ring[i % DEPTH];
        tls_close(link);
        ready(link);
        if (kept && (tls_write(link, request_b, strlen(request_b)) != 0 || tls_answer(link) != 200))
            die("A's harmless request");
        pthread_barrier_wait(&start);
        /* A refusal (the connection breaks) is as good as a hold: the server counts. */
        (void)tls_write(link, request_a, strlen(request_a));
        pthread_barrier_wait(&end);
    }
    /* What could still escape gets a second: any answer to A is a leak, which the server has counted. */
    for (int i = 0; i < DEPTH && i < trials; i++) {
        tls_patience(&ring[i], i == 0 ? 1000 : 1);
        (void)tls_answer(&ring[i]);
        tls_close(&ring[i]);
    }
    return unused;
}

static void *thread_b(void *unused) {
    struct link link = {0};
    for (int i = 0; i < trials; i++) {
        if (!kept || i == 0) {
            tls_close(&link);
            ready(&link);
        }
        pthread_barrier_wait(&start);
        double before = now_us();
        if (tls_write(&link, request_b, strlen(request_b)) != 0 || tls_answer(&link) != 200)
            b_failed = 1;
        took[i] = now_us() - before;
        pthread_barrier_wait(&end);
        if (b_failed)
            die("B's request");
    }
    tls_close(&link);
    return unused;
}

static void *thread_upload(void *unused) {
    enum { SIZE = 1 << 20 };
    char *body = malloc(SIZE), head[512];
    struct link link;
    if (body == NULL)
        die("malloc");
    memset(body, 'u', SIZE);
    snprintf(head, sizeof head, "PUT /upload HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", need_env("AG_HOST"), SIZE);
    ready(&link);
    while (!done)
        if (tls_write(&link, head, strlen(head)) != 0 || tls_write(&link, body, SIZE) != 0 || tls_answer(&link) != 200)
            die("upload");
    tls_close(&link);
    free(body);
    return unused;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    trials = atoi(argv[1]);
    kept = strcmp(argv[2], "kept") == 0;
    nodelay = strcmp(argv[3], "nodelay") == 0;
    tls_setup();
    took = calloc((size_t)trials, sizeof *took);
    if (took == NULL)
        die("calloc");
    snprintf(request_a, sizeof request_a, "DELETE /held HTTP/1.1\r\nHost: %s\r\n\r\n", need_env("AG_HOST"));
    snprintf(request_b, sizeof request_b, "GET /free HTTP/1.1\r\nHost: %s\r\n\r\n", need_env("AG_HOST"));
    pthread_barrier_init(&start, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    pthread_t a, b, upload;
    int uploads = strcmp(argv[4], "upload") == 0;
    if (uploads)
        pthread_create(&upload, NULL, thread_upload, NULL);
    pthread_create(&a, NULL, thread_a, NULL);
    pthread_create(&b, NULL, thread_b, NULL);
    pthread_join(b, NULL);
    pthread_join(a, NULL);
    done = 1;
    if (uploads)
        pthread_join(upload, NULL);
    /* The first of them meet libraries that are new to the guard. */
    int skip = trials > WARM ? WARM : 0, count = trials - skip;
    qsort(took + skip, (size_t)count, sizeof *took, by_value);
    double *sorted = took + skip;
    printf("{\"trials\":%d,\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f}\n", trials, sorted[count / 2],
           sorted[count * 99 / 100], sorted[count - 1]);
    return 0;
}
