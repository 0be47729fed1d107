/* The line protocol on libssl: one connection until it breaks, then another. A body is one SSL_write of its own;
 * the method "RAW" sends the file named by the path as it is, in one SSL_write, and "PART" does so without waiting for an
 * answer ("ok 0"). */
#include "tls.h"

static struct link link_;
static int open_;

static char *slurp(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die(path);
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*length + 1);
    if (bytes == NULL || fread(bytes, 1, *length, file) != *length)
        die(path);
    fclose(file);
    return bytes;
}

static int send_request(const char *method, const char *path, size_t size) {
    if (strcmp(method, "RAW") == 0 || strcmp(method, "PART") == 0) {
        size_t length;
        char *bytes = slurp(path, &length);
        int failed = tls_write(&link_, bytes, length);
        free(bytes);
        return failed;
    }
    char head[16384];
    int length = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n", method, path, need_env("AG_HOST"), need_env("AG_PORT"));
    if (size > 0)
        length += snprintf(head + length, sizeof head - (size_t)length, "Content-Length: %zu\r\n", size);
    length += snprintf(head + length, sizeof head - (size_t)length, "\r\n");
    if (tls_write(&link_, head, (size_t)length) != 0)
        return -1;
    if (size == 0)
        return 0;
    char *body = malloc(size);
    if (body == NULL)
        die("malloc");
    memset(body, 'b', size);
    int failed = tls_write(&link_, body, size);
    free(body);
    return failed;
}

int main(void) {
    tls_setup();
    char method[16], path[8192];
    size_t size;
    while (scanf("%15s %8191s %zu", method, path, &size) == 3) {
        if (!open_ && tls_open(&link_, 0) != 0) {
            printf("error cannot connect\n");
            fflush(stdout);
            continue;
        }
        open_ = 1;
        int part = strcmp(method, "PART") == 0;
        int status = send_request(method, path, size) != 0 ? -1 : part ? 0 : tls_answer(&link_);
        if (status < 0) {
            tls_close(&link_);
            open_ = 0;
            printf("error the connection broke\n");
        } else {
            printf("ok %d\n", status);
        }
        fflush(stdout);
    }
    return 0;
}
