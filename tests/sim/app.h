/*
 * app.h - the application on the server, and who ends it.
 */
#ifndef WF_TESTS_SIM_APP_H
#define WF_TESTS_SIM_APP_H

#include <weft/weft.h>

weft_server *sim_app_begin(void); /* made, with routes, listening */
void sim_app_act(void);           /* orders the end when it is time */
uint64_t sim_app_next_ns(void);   /* when it will; UINT64_MAX: it has */
bool sim_app_ending(void);
void sim_app_check_end(void); /* the server has run: every connection was told its end */

#endif
