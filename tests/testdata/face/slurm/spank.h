typedef struct spank_handle *spank_t;
typedef int spank_err_t;
