/*
 * A stand-in for libnvidia-ml.so.1. NVSTUB says what it answers:
 * "driver=550.54.15;cuda=12040;init=0;gpu=NAME,CAPABILITY,MIB,MIG,HANDLE;gpu=…", MIG -1 where the GPU knows no MIG mode, HANDLE the
 * return code of nvmlDeviceGetHandleByIndex. With -DOLD it has the functions of a driver from before MIG and CUDA 9.2.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gpu { char name[96]; int major, minor, mib, mig, handle; };

static struct gpu gpus[16];
static unsigned count;
static char driver[80] = "550.54.15";
static int cuda = 12040, start;

static int init(void)
{
	char *setting = strdup(getenv("NVSTUB") ? getenv("NVSTUB") : ""), *rest = setting, *word;

	while ((word = strsep(&rest, ";"))) {
		struct gpu *g = &gpus[count];

		sscanf(word, "driver=%79s", driver);
		sscanf(word, "cuda=%d", &cuda);
		sscanf(word, "init=%d", &start);
		if (sscanf(word, "gpu=%95[^,],%d.%d,%d,%d,%d", g->name, &g->major, &g->minor, &g->mib, &g->mig, &g->handle) > 3)
			count++;
	}
	free(setting);
	return start;
}

int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 18 ? "Driver/library version mismatch" : "Some Error"; }
int nvmlSystemGetDriverVersion(char *s, unsigned n) { return snprintf(s, n, "%s", driver) < 0; }
static int get_count(unsigned *n) { *n = count; return 0; }
static int get_handle(unsigned i, void **d) { *d = &gpus[i]; return gpus[i].handle; }
int nvmlDeviceGetName(struct gpu *g, char *s, unsigned n) { return snprintf(s, n, "%s", g->name) < 0; }
int nvmlDeviceGetUUID(struct gpu *g, char *s, unsigned n) { return snprintf(s, n, "GPU-%d%07d", (int)(g - gpus) + 1, g->mib) < 0; }
int nvmlDeviceGetCudaComputeCapability(struct gpu *g, int *major, int *minor) { *major = g->major; *minor = g->minor; return g->major ? 0 : 999; }
int nvmlDeviceGetMemoryInfo(struct gpu *g, unsigned long long *m) { m[0] = m[1] = (unsigned long long)g->mib << 20; m[2] = 0; return 0; }

#ifdef OLD
int nvmlInit(void) { return init(); }
int nvmlDeviceGetCount(unsigned *n) { return get_count(n); }
int nvmlDeviceGetHandleByIndex(unsigned i, void **d) { return get_handle(i, d); }
#else
int nvmlInit_v2(void) { return init(); }
int nvmlDeviceGetCount_v2(unsigned *n) { return get_count(n); }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { return get_handle(i, d); }
int nvmlSystemGetCudaDriverVersion_v2(int *v) { *v = cuda; return 0; }
int nvmlDeviceGetMigMode(struct gpu *g, unsigned *mode, unsigned *next) { *mode = *next = g->mig; return g->mig < 0 ? 3 : 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **d) { *d = &gpus[atoi(uuid + strlen("MIG-"))]; return strlen(uuid) == 5 ? 0 : 6; }
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *part, void **whole) { *whole = part; return 0; }
#endif
