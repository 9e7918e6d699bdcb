// ranks: what every program of MPI does. Rank 0 gives all the others more than goes through shared memory in one piece, all of them add up, and each
// says where it is.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 8 << 20 };

int main(int argc, char **argv)
{
	MPI_Init(&argc, &argv);
	int rank, size;
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);

	unsigned char *data = malloc(SIZE);
	if (!data)
		return 1;
	memset(data, rank == 0 ? 'x' : 0, SIZE);
	MPI_Bcast(data, SIZE, MPI_BYTE, 0, MPI_COMM_WORLD);
	long right = 1;
	for (int i = 0; i < SIZE; i++)
		right &= data[i] == 'x';

	long mine[2] = {rank + 1, right}, all[2];
	MPI_Allreduce(mine, all, 2, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);

	char space[64] = "?";
	if (readlink("/proc/self/ns/user", space, sizeof space - 1) < 0)
		return 1;
	const char *node = getenv("SLURMD_NODENAME");
	printf("rank %d of %d on %s: sum %ld, right %ld %s\n", rank, size, node ? node : "-", all[0], all[1], space);
	fflush(stdout);
	MPI_Finalize();
	return 0;
}
