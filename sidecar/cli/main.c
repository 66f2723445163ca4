/* main: the cistern command: looks at a running sidecar. */
#include "shm/status.h"
#include "sidecar/cli/observe.h"
#include "sidecar/cli/status.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: cistern status [--json] [--socket PATH]\n"
    "\n"
    "  status   what the sidecar of this host is, and what it counted\n"
    "\n"
    "  --json   one JSON object instead of lines\n"
    "  --socket its unix socket; default $CISTERN_SOCKET, else " OBSERVE_SOCKET "\n";

struct arguments {
    const char *command;
    const char *socket;
    bool json;
    bool help;
};

/* Returns NULL, or the argument that is not understood. */
static const char *read_arguments(int argc, char **argv, struct arguments *out)
{
    const char *socket = getenv("CISTERN_SOCKET");
    *out =
        (struct arguments){.socket = socket != NULL && socket[0] != '\0' ? socket : OBSERVE_SOCKET};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            out->json = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            out->help = true;
        } else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
            out->socket = argv[++i];
        } else if (strncmp(argv[i], "--socket=", 9) == 0) {
            out->socket = argv[i] + 9;
        } else if (argv[i][0] != '-' && out->command == NULL) {
            out->command = argv[i];
        } else {
            return argv[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    const char *wrong = read_arguments(argc, argv, &arguments);
    if (arguments.help) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (wrong == NULL && arguments.command != NULL && strcmp(arguments.command, "status") != 0) {
        wrong = arguments.command;
    }
    if (wrong != NULL || arguments.command == NULL) {
        (void)fprintf(stderr, "cistern: %s%s\n\n%s",
            wrong == NULL ? "no command" : "not understood: ", wrong == NULL ? "" : wrong, usage);
        return 2;
    }
    char why[1024];
    static struct observe observe;
    int status = observe_open(&observe, arguments.socket, why, sizeof why);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "cistern: %s\n", why);
        return 1;
    }
    status_print(&observe, arguments.json, stdout);
    observe_close(&observe);
    return 0;
}
