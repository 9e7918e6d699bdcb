/* A small n-body program: gravity between all pairs, in double precision. It prints the energy before and after, which every build must
 * agree on, and the seconds it took, which they do not. The inner loop is what compilers vectorise: how wide depends on -march. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 2048 };
static double x[N], y[N], z[N], vx[N], vy[N], vz[N], ax[N], ay[N], az[N], m[N];

static double uniform(unsigned long long *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(*state >> 11) / 9007199254740992.0;
}

static void forces(void)
{
	for (int i = 0; i < N; i++)
		ax[i] = ay[i] = az[i] = 0;
	for (int j = 0; j < N; j++) {
		const double xj = x[j], yj = y[j], zj = z[j], mj = m[j];
		for (int i = 0; i < N; i++) {
			const double dx = xj - x[i], dy = yj - y[i], dz = zj - z[i];
			const double r2 = dx * dx + dy * dy + dz * dz + 1e-4;
			const double f = mj / (r2 * sqrt(r2));
			ax[i] += f * dx;
			ay[i] += f * dy;
			az[i] += f * dz;
		}
	}
}

static double energy(void)
{
	double e = 0;
	for (int i = 0; i < N; i++) {
		e += 0.5 * m[i] * (vx[i] * vx[i] + vy[i] * vy[i] + vz[i] * vz[i]);
		for (int j = 0; j < i; j++) {
			const double dx = x[j] - x[i], dy = y[j] - y[i], dz = z[j] - z[i];
			e -= m[i] * m[j] / sqrt(dx * dx + dy * dy + dz * dz + 1e-4);
		}
	}
	return e;
}

int main(int argc, char **argv)
{
	const int steps = argc > 1 ? atoi(argv[1]) : 100;
	const double dt = 1e-4;
	unsigned long long state = 42;
	struct timespec from, to;

	for (int i = 0; i < N; i++) {
		x[i] = uniform(&state), y[i] = uniform(&state), z[i] = uniform(&state);
		m[i] = 1.0 / N;
	}
	const double before = energy();
	clock_gettime(CLOCK_MONOTONIC, &from);
	forces();
	for (int s = 0; s < steps; s++) {
		for (int i = 0; i < N; i++) {
			vx[i] += 0.5 * dt * ax[i], vy[i] += 0.5 * dt * ay[i], vz[i] += 0.5 * dt * az[i];
			x[i] += dt * vx[i], y[i] += dt * vy[i], z[i] += dt * vz[i];
		}
		forces();
		for (int i = 0; i < N; i++)
			vx[i] += 0.5 * dt * ax[i], vy[i] += 0.5 * dt * ay[i], vz[i] += 0.5 * dt * az[i];
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%s: energy %.6f -> %.6f, %.3f seconds\n", TARGET, before, energy(),
	       (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec));
	return 0;
}
