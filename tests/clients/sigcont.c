/* A process of the same user that will not let another one be stopped: sigcont PID SECONDS. Prints how often it tried. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    pid_t pid = (pid_t)atol(argv[1]);
    time_t end = time(NULL) + atol(argv[2]);
    unsigned long sent = 0;
    while (time(NULL) < end && kill(pid, SIGCONT) == 0)
        sent++;
    printf("%lu\n", sent);
    return 0;
}
