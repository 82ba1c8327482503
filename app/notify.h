/*
 * notify.h - tells systemd how far we are (Type=notify): what sd_notify(3) does, without its library.
 */
#ifndef APP_NOTIFY_H
#define APP_NOTIFY_H

/* Sends the state ("READY=1") to the socket that $NOTIFY_SOCKET names; without one nothing happens. Signal-safe after the
 * first call, which reads the environment. */
void app_notify(const char *state);

#endif
