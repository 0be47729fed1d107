/* Code that attacks its own memory: while SSL_write runs, a second thread changes the request in the buffer between a
 * GET and a DELETE of the same length. No probe can exclude that the DELETE is what gets encrypted; the server counts.
 *
 * flip REQUESTS. Prints how many were answered, broken off, and unanswered within 100 ms. */
#include "tls.h"

static char harmless[512], harmful[512], buffer[512];
static size_t length;
static volatile int done;

static void *flipper(void *unused) {
    while (!done) {
        memcpy(buffer, harmful, length);
        __asm__ volatile("" ::: "memory");
        memcpy(buffer, harmless, length);
        __asm__ volatile("" ::: "memory");
    }
    return unused;
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    int requests = atoi(argv[1]), answered = 0, broken = 0, silent = 0, refused = 0;
    tls_setup();
    snprintf(harmless, sizeof harmless, "GET /flip?pad=xxx HTTP/1.1\r\nHost: %s\r\n\r\n", need_env("AG_HOST"));
    snprintf(harmful, sizeof harmful, "DELETE /flip?pad= HTTP/1.1\r\nHost: %s\r\n\r\n", need_env("AG_HOST"));
    length = strlen(harmless);
    if (length != strlen(harmful))
        die("lengths");
    memcpy(buffer, harmless, length);
    pthread_t thread;
    pthread_create(&thread, NULL, flipper, NULL);
    struct link link = {0};
    for (int i = 0; i < requests; i++) {
        if (link.ssl == NULL) {
            if (tls_open(&link, 1) != 0) {
                refused++;
                continue;
            }
            tls_patience(&link, 100);
        }
        double before = now_us();
        if (tls_write(&link, buffer, length) == 0 && tls_answer(&link) > 0) {
            answered++;
            continue;
        }
        if (now_us() - before > 90000)
            silent++;
        else
            broken++;
        tls_close(&link);
    }
    done = 1;
    pthread_join(thread, NULL);
    printf("{\"requests\":%d,\"answered\":%d,\"broken\":%d,\"silent\":%d,\"refused\":%d}\n", requests, answered, broken, silent, refused);
    return 0;
}
