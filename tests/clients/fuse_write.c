/* Writes a request whose last bytes lie on a page that never arrives (a file of a file system that does not answer):
 * fuse_write FILE. The calling thread is stuck for as long as that is so. */
#include "tls.h"
#include <fcntl.h>
#include <sys/mman.h>

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    tls_setup();
    struct link link;
    if (tls_open(&link, 1) != 0)
        die("connect");
    int fd = open(argv[1], O_RDONLY);
    if (fd < 0)
        die(argv[1]);
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    if (page == MAP_FAILED)
        die("mmap");
    printf("writing\n");
    fflush(stdout);
    (void)tls_write(&link, page, 4096);
    printf("written\n");
    return 0;
}
