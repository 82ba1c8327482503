/*
 * usual.h - which way a branch nearly always goes, for the few places that each short message comes by: a branch that
 * is taken costs about as much as ten instructions that follow each other, so what is usual shall follow and the rest
 * jump.
 */
#ifndef WF_BASE_USUAL_H
#define WF_BASE_USUAL_H

#define wf_usual(e) __builtin_expect(!!(e), 1)

#endif
