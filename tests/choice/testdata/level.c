/*
 * A program for a microarchitecture: built with -O3 -march=TARGET it uses what defines the target, both by a loop that the compiler
 * vectorises and by instructions of its own. It ends with 0 where all of it runs and gives the right answer. What no compiler
 * emits by itself (rdseed, clzero, clwb …) it leaves alone.
 */
#include <stdint.h>
#include <x86intrin.h>

enum { count = 4096 };
static int32_t a[count], b[count];
static double x[count], y[count];

/* 1 + 2 + … + count, by vectors as wide as the target has. */
static int loop(void)
{
	int64_t sum = 0;
	double product = 0;

	for (int i = 0; i < count; i++) {
		a[i] = i + 1;
		b[i] = 2 * i;
		x[i] = i % 8;
		y[i] = 0.5;
	}
	__asm__ volatile("" ::: "memory");
	for (int i = 0; i < count; i++)
		sum += a[i] * b[i] - 2 * a[i] * i + a[i];
	for (int i = 0; i < count; i++)
		y[i] = x[i] * y[i] + x[i];
	for (int i = 0; i < count; i++)
		product += y[i];
	return sum == (int64_t)count * (count + 1) / 2 && product == 1.5 * 3.5 * count;
}

#ifdef __GCC_HAVE_SYNC_COMPARE_AND_SWAP_16
static int cx16(void)
{
	_Alignas(16) uint64_t at[2] = {1, 2};
	uint64_t low = 1, high = 2;
	unsigned char done;

	__asm__ volatile("cmpxchg16b %1; sete %0"
			 : "=q"(done), "+m"(at), "+a"(low), "+d"(high)
			 : "b"(3ULL), "c"(4ULL)
			 : "cc");
	return done && at[0] == 3 && at[1] == 4;
}
#endif

#ifdef __SSE4_2__ /* x86-64-v2, nehalem */
static int v2(void)
{
	volatile int64_t seven = 7;
	int64_t bits;
	__m128i v = _mm_set1_epi32((int)seven);

	__asm__ volatile("popcnt %1, %0" : "=r"(bits) : "r"((int64_t)seven) : "cc");
	v = _mm_shuffle_epi8(v, _mm_setzero_si128());				/* ssse3 */
	v = _mm_max_epi32(v, _mm_setzero_si128());				/* sse4.1 */
	return bits == 3 && _mm_extract_epi32(v, 2) == 0x07070707 &&
	       _mm_movemask_epi8(_mm_cmpgt_epi64(v, _mm_setzero_si128())) == 0xffff && /* sse4.2 */
	       _mm_crc32_u8(0, 0) == 0 && _mm_crc32_u32(0, (uint32_t)seven) != 0;
}
#endif

#ifdef __AVX__ /* ivybridge has f16c besides */
static int avx(void)
{
	volatile double one = 1;
	double out[4];

	_mm256_storeu_pd(out, _mm256_add_pd(_mm256_set1_pd(one), _mm256_set1_pd(one)));
#ifdef __F16C__
	{
		float half[8];

		_mm256_storeu_ps(half, _mm256_cvtph_ps(_mm_set1_epi16(0x3c00)));
		if (half[7] != 1)
			return 0;
	}
#endif
	return out[3] == 2;
}
#endif

#ifdef __AVX2__ /* x86-64-v3, haswell */
static int v3(void)
{
	volatile uint64_t value = 0x0123456789abcdef;
	volatile float three = 3;
	uint64_t swapped, deposited, cleared, zeros;
	float fused[8];
	int32_t sum[8];

	_mm256_storeu_ps(fused, _mm256_fmadd_ps(_mm256_set1_ps(three), _mm256_set1_ps(three), _mm256_set1_ps(1)));
	_mm256_storeu_si256((__m256i *)sum, _mm256_add_epi32(_mm256_set1_epi32((int)three), _mm256_set1_epi32(4)));
	__asm__ volatile("movbe %1, %0" : "=r"(swapped) : "m"(value));
	__asm__ volatile("pdep %2, %1, %0" : "=r"(deposited) : "r"(5ULL), "r"(0xf0ULL)); /* bmi2 */
	__asm__ volatile("andn %2, %1, %0" : "=r"(cleared) : "r"(5ULL), "r"(0xfULL) : "cc"); /* bmi1 */
	__asm__ volatile("lzcnt %1, %0" : "=r"(zeros) : "r"(value) : "cc");	/* older CPUs take it for bsr */
	return fused[7] == 10 && sum[7] == 7 && swapped == 0xefcdab8967452301 && deposited == 0x50 && cleared == 10 && zeros == 7;
}
#endif

#ifdef __PCLMUL__ /* westmere and up; gcc's targets of Intel leave out aes, which came with it */
static int westmere(void)
{
	volatile int64_t three = 3;
	__m128i v = _mm_cvtsi64_si128(three);

#ifdef __AES__
	if (_mm_cvtsi128_si64(_mm_aesimc_si128(_mm_setzero_si128())) != 0)
		return 0;
#endif
	return _mm_cvtsi128_si64(_mm_clmulepi64_si128(v, v, 0)) == 5;
}
#endif

#ifdef __SSE4A__ /* AMD */
static int sse4a(void)
{
	volatile int64_t value = 0x0123456789abcdef;

	return _mm_cvtsi128_si64(_mm_extracti_si64(_mm_cvtsi64_si128(value), 8, 4)) == 0xde;
}
#endif

int main(void)
{
	if (!loop())
		return 1;
#ifdef __GCC_HAVE_SYNC_COMPARE_AND_SWAP_16
	if (!cx16())
		return 2;
#endif
#ifdef __SSE4_2__
	if (!v2())
		return 3;
#endif
#ifdef __AVX__
	if (!avx())
		return 4;
#endif
#ifdef __AVX2__
	if (!v3())
		return 5;
#endif
#ifdef __PCLMUL__
	if (!westmere())
		return 6;
#endif
#ifdef __SSE4A__
	if (!sse4a())
		return 7;
#endif
	return 0;
}
