/* pipe_tls.h - a certificate for the server, made once. */
#ifndef WF_TESTS_SIM_PIPE_TLS_H
#define WF_TESTS_SIM_PIPE_TLS_H

/* A file with the chain and the key. */
const char *sim_tls_file(void);

#endif
