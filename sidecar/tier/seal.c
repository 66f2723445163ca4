/* seal: see seal.h. */
#include "sidecar/tier/seal.h"

#include "shm/status.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_DIGITS (2 * SEAL_KEY_BYTES)
#define STEP_BYTES (UINT64_C(1) << 30) /* EVP counts in int */

static_assert(STEP_BYTES <= INT_MAX, "a step is an int");

static int digit(uint8_t character)
{
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    uint8_t lower = character | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The key, from what the file holds. Returns false if that is no key. */
static bool read_key(const uint8_t *text, size_t bytes, uint8_t *out_key)
{
    if (bytes == SEAL_KEY_BYTES) {
        memcpy(out_key, text, SEAL_KEY_BYTES);
        return true;
    }
    if (bytes != HEX_DIGITS && (bytes != HEX_DIGITS + 1 || text[HEX_DIGITS] != '\n')) {
        return false;
    }
    for (size_t i = 0; i < SEAL_KEY_BYTES; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out_key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Read a small regular file that is ours alone. Returns 0 and how many bytes, at most `room`. */
static int read_file(const char *path, uint8_t *out_text, size_t room, size_t *out_bytes, char *why,
    size_t why_bytes)
{
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) {
        (void)snprintf(why, why_bytes, "cannot open key file %s: %s", path, strerror(errno));
        return STATUS_IO;
    }
    int status = STATUS_IO;
    if (fstat(file, &about) != 0) {
        (void)snprintf(why, why_bytes, "cannot look at key file %s: %s", path, strerror(errno));
    } else if (!S_ISREG(about.st_mode)) {
        status = STATUS_INVALID;
        (void)snprintf(why, why_bytes, "key file %s is no regular file", path);
    } else if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        status = STATUS_DENIED;
        (void)snprintf(why, why_bytes,
            "key file %s has mode %04o, others may read it: chmod 0400 %s", path,
            about.st_mode & 07777u, path);
    } else {
        ssize_t got = read(file, out_text, room);
        if (got < 0) {
            (void)snprintf(why, why_bytes, "cannot read key file %s: %s", path, strerror(errno));
        } else {
            status = STATUS_OK;
            *out_bytes = (size_t)got;
        }
    }
    (void)close(file);
    return status;
}

/* First bytes of a keyed hash of a fixed text. */
static bool make_check(const uint8_t *key, uint32_t *out_check)
{
    static const char text[] = "cistern: which key is this?";
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int digest_bytes = 0;
    if (HMAC(EVP_sha256(), key, SEAL_KEY_BYTES, (const unsigned char *)text, sizeof text - 1,
            digest, &digest_bytes) == NULL ||
        digest_bytes < sizeof *out_check) {
        return false;
    }
    memcpy(out_check, digest, sizeof *out_check);
    return true;
}

int seal_open(struct seal *out_seal, const char *path, char *why, size_t why_bytes)
{
    struct seal seal = {.cipher = NULL};
    uint8_t text[HEX_DIGITS + 2]; /* one more than the longest key */
    size_t bytes = 0;
    int status = read_file(path, text, sizeof text, &bytes, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    if (!read_key(text, bytes, seal.key)) {
        status = STATUS_INVALID;
        (void)snprintf(why, why_bytes,
            "key file %s holds neither 32 bytes nor 64 hexadecimal digits: "
            "openssl rand -hex 32 > %s",
            path, path);
        goto wipe;
    }
    seal.cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (seal.cipher == NULL || !make_check(seal.key, &seal.check)) {
        EVP_CIPHER_free(seal.cipher);
        status = STATUS_IO;
        (void)snprintf(why, why_bytes, "OpenSSL offers no AES-256-GCM: look at openssl.cnf");
        goto wipe;
    }
    *out_seal = seal;
wipe:
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(seal.key, sizeof seal.key);
    return status;
}

void seal_close(struct seal *seal)
{
    EVP_CIPHER_free(seal->cipher);
    OPENSSL_cleanse(seal, sizeof *seal);
}

/* Additional data, then the bytes. */
static bool run(EVP_CIPHER_CTX *context, const void *extra, size_t extra_bytes, const void *data,
    uint64_t bytes, void *out_data)
{
    int got = 0;
    if (EVP_CipherUpdate(context, NULL, &got, extra, (int)extra_bytes) != 1) {
        return false;
    }
    for (uint64_t at = 0; at < bytes;) {
        uint64_t step = bytes - at < STEP_BYTES ? bytes - at : STEP_BYTES;
        if (EVP_CipherUpdate(context, (uint8_t *)out_data + at, &got, (const uint8_t *)data + at,
                (int)step) != 1 ||
            (uint64_t)got != step) {
            return false;
        }
        at += step;
    }
    return true;
}

int seal_lock(const struct seal *seal, const void *extra, size_t extra_bytes, const void *data,
    uint64_t bytes, void *out_data, uint8_t *out_nonce, uint8_t *out_tag)
{
    uint8_t nonce[SEAL_NONCE_BYTES];
    uint8_t last[16];
    int got = 0;
    assert(extra_bytes <= INT_MAX);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good = context != NULL && RAND_bytes(nonce, sizeof nonce) == 1 &&
                EVP_EncryptInit_ex2(context, seal->cipher, seal->key, nonce, NULL) == 1 &&
                run(context, extra, extra_bytes, data, bytes, out_data) &&
                EVP_EncryptFinal_ex(context, last, &got) == 1 && got == 0 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, out_tag) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!good) {
        return STATUS_INTERNAL;
    }
    memcpy(out_nonce, nonce, sizeof nonce);
    return STATUS_OK;
}

int seal_unlock(const struct seal *seal, const void *extra, size_t extra_bytes, const void *data,
    uint64_t bytes, const uint8_t *nonce, const uint8_t *tag, void *out_data)
{
    uint8_t expected[SEAL_TAG_BYTES];
    uint8_t last[16];
    int got = 0;
    assert(extra_bytes <= INT_MAX);
    memcpy(expected, tag, sizeof expected);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good =
        context != NULL &&
        EVP_DecryptInit_ex2(context, seal->cipher, seal->key, nonce, NULL) == 1 &&
        run(context, extra, extra_bytes, data, bytes, out_data) &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, expected) == 1 &&
        EVP_DecryptFinal_ex(context, last, &got) == 1;
    EVP_CIPHER_CTX_free(context);
    return good ? STATUS_OK : STATUS_MALFORMED;
}
