/* Writes that are released and writes that are held, back to back on one connection: POSTs one after the other without
 * waiting, so that the release of each falls into the next write, and somewhere among them a DELETE. Nothing from the
 * DELETE on may arrive. What is in front of it may: TCP joins small writes that wait, and a packet that carries a byte
 * of the DELETE waits as a whole.
 *
 * interleave WRITES PER-CONNECTION. Prints the POSTs before each DELETE, summed, and how many were answered. */
#include "tls.h"

static unsigned int seed = 1;

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    long writes = atol(argv[1]), expected = 0, answered = 0;
    int each = atoi(argv[2]);
    tls_setup();
    char post[512], held[512];
    snprintf(held, sizeof held, "DELETE /held HTTP/1.1\r\nHost: %s\r\n\r\n", need_env("AG_HOST"));
    snprintf(post, sizeof post, "POST /free HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nbody", need_env("AG_HOST"));
    for (long done = 0; done < writes; done += each) {
        struct link link;
        if (tls_open(&link, 0) != 0)
            die("connect");
        int before = 1 + rand_r(&seed) % (each - 1);
        for (int i = 0; i < each; i++) {
            const char *request = i == before ? held : post;
            if (tls_write(&link, request, strlen(request)) != 0)
                break;
        }
        /* What waits with the DELETE is not answered; nothing tells how much that is but that no more comes. */
        struct timeval patience = {0, 50 * 1000};
        setsockopt(link.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        for (int i = 0; i < before && tls_answer(&link) == 200; i++)
            answered++;
        expected += before;
        tls_close(&link);
    }
    printf("{\"expected\":%ld,\"answered\":%ld}\n", expected, answered);
    return 0;
}
