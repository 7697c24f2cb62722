/* A plugin of QEMU that counts the instructions that the guest executes.

   When the guest calls getpriority, it prints their number so far as a line of JSON on standard output. The guest thereby
   marks a part of its work. Its argument getpriority=N is that system call's number on the guest's architecture.

   The declarations below are those of QEMU's plugin interface that it uses; they stand for <qemu-plugin.h>, which no
   Debian package of QEMU's user mode installs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_API
#define PLUGIN_API 1
#endif
#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_info_t;
typedef void (*translation_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execution_callback)(unsigned int, void *);
typedef void (*syscall_callback)(qemu_plugin_id_t, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                 uint64_t, uint64_t, uint64_t, uint64_t);
enum { NO_REGISTERS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translation_callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, execution_callback, int, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

EXPORTED int qemu_plugin_version = PLUGIN_API;

static uint64_t instructions; /* of all threads; the guest has one */
static int64_t getpriority_number = -1;

static void executed(unsigned int cpu, void *length)
{
    instructions += (uintptr_t)length;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    void *length = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, NO_REGISTERS, length);
}

static void called(qemu_plugin_id_t id, unsigned int cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    if (number == getpriority_number) {
        printf("{\"instructions\": %llu}\n", (unsigned long long)instructions);
        fflush(stdout);
    }
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int count, char **arguments)
{
    const char *name = "getpriority=";
    for (int i = 0; i < count; i++)
        if (strncmp(arguments[i], name, strlen(name)) == 0)
            getpriority_number = strtoll(arguments[i] + strlen(name), NULL, 10);
    if (getpriority_number < 0) {
        fprintf(stderr, "expected the argument getpriority=N\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
