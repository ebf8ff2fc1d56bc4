/*-------------------------------------------------------------------------
 *
 * unsubscribe.c
 *	  The token in a mail's link for leaving a stream.
 *
 * IDENTIFICATION
 *	  src/core/unsubscribe.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "codec/base64.h"
#include "core/unsubscribe.h"

#define VERSION			1
#define NONCE_BYTES		12
#define TAG_BYTES		16
#define KEY_BYTES		32

/* How long an address is shows in blocks only. */
#define BLOCK_BYTES		32

/* A byte of length, the stream, the address, and a zero at least. */
#define TEXT_MAX		416

#define HEAD_BYTES		(1 + NONCE_BYTES)
#define TOKEN_MAX		(HEAD_BYTES + TEXT_MAX + TAG_BYTES)

static bool derive(const char *secret, size_t secret_len, const char *purpose,
				   unsigned char key[KEY_BYTES]);
static bool digest(const unsigned char *key, const unsigned char *bytes, size_t len,
				   unsigned char out[KEY_BYTES]);
static bool seal(const unsigned char *key, const unsigned char *text, size_t len,
				 unsigned char *token);
static bool unseal(const unsigned char *key, const unsigned char *token, size_t len,
				   unsigned char *text);
static bool to_url(const unsigned char *bytes, size_t len, char token[RF_UNSUBSCRIBE_TOKEN_SIZE]);
static bool from_url(const char *token, size_t len, unsigned char *bytes, size_t *nbytes);
static bool read_text(const unsigned char *text, size_t len, RfUnsubscribe *what);

bool
rf_unsubscribe_token_make(const char *secret, size_t secret_len,
						  const RfUnsubscribe *what,
						  char token[RF_UNSUBSCRIBE_TOKEN_SIZE])
{
	unsigned char text[TEXT_MAX] = {0};
	unsigned char bytes[TOKEN_MAX] = {VERSION};
	unsigned char nonce[KEY_BYTES];
	unsigned char key[KEY_BYTES];
	unsigned char nonce_key[KEY_BYTES];
	size_t		stream_len = strnlen(what->stream, sizeof(what->stream));
	size_t		address_len = strnlen(what->address, sizeof(what->address));
	size_t		len = 1 + stream_len + address_len + 1;
	bool		good;

	token[0] = '\0';
	if (stream_len > RF_UNSUBSCRIBE_STREAM_MAX || address_len > RF_UNSUBSCRIBE_ADDRESS_MAX)
		return false;
	text[0] = (unsigned char) stream_len;
	memcpy(text + 1, what->stream, stream_len);
	memcpy(text + 1 + stream_len, what->address, address_len);
	len = (len + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;

	good = derive(secret, secret_len, "roleferry unsubscribe key", key) &&
		derive(secret, secret_len, "roleferry unsubscribe nonce", nonce_key) &&
		digest(nonce_key, text, len, nonce);
	if (good)
		memcpy(bytes + 1, nonce, NONCE_BYTES);
	good = good && seal(key, text, len, bytes) &&
		to_url(bytes, HEAD_BYTES + len + TAG_BYTES, token);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(nonce_key, sizeof(nonce_key));
	return good;
}

bool
rf_unsubscribe_token_read(const char *secret, size_t secret_len,
						  const char *token, size_t token_len,
						  RfUnsubscribe *what)
{
	unsigned char bytes[TOKEN_MAX];
	unsigned char text[TEXT_MAX];
	unsigned char key[KEY_BYTES];
	size_t		nbytes;
	bool		good;

	memset(what, 0, sizeof(*what));
	if (!from_url(token, token_len, bytes, &nbytes) ||
		nbytes <= HEAD_BYTES + TAG_BYTES || bytes[0] != VERSION)
		return false;
	good = derive(secret, secret_len, "roleferry unsubscribe key", key) &&
		unseal(key, bytes, nbytes, text) &&
		read_text(text, nbytes - HEAD_BYTES - TAG_BYTES, what);
	OPENSSL_cleanse(key, sizeof(key));
	if (!good)
		memset(what, 0, sizeof(*what));
	return good;
}

/* Keys of their own, so that a file that is used for something else, too, does no harm. */
static bool
derive(const char *secret, size_t secret_len, const char *purpose,
	   unsigned char key[KEY_BYTES])
{
	unsigned int len = 0;

	return secret_len > 0 && secret_len <= 65536 &&
		HMAC(EVP_sha256(), secret, (int) secret_len, (const unsigned char *) purpose,
			 strlen(purpose), key, &len) != NULL && len == KEY_BYTES;
}

static bool
digest(const unsigned char *key, const unsigned char *bytes, size_t len,
	   unsigned char out[KEY_BYTES])
{
	unsigned int out_len = 0;

	return HMAC(EVP_sha256(), key, KEY_BYTES, bytes, len, out, &out_len) != NULL &&
		out_len == KEY_BYTES;
}

/* Behind the head of the token, which is authenticated with it. */
static bool
seal(const unsigned char *key, const unsigned char *text, size_t len,
	 unsigned char *token)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int			n = 0;
	bool		good;

	good = context != NULL &&
		EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, token + 1) == 1 &&
		EVP_EncryptUpdate(context, NULL, &n, token, HEAD_BYTES) == 1 &&
		EVP_EncryptUpdate(context, token + HEAD_BYTES, &n, text, (int) len) == 1 &&
		EVP_EncryptFinal_ex(context, token + HEAD_BYTES + n, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, token + HEAD_BYTES + len) == 1;
	EVP_CIPHER_CTX_free(context);
	return good;
}

/* The tag is compared in constant time. */
static bool
unseal(const unsigned char *key, const unsigned char *token, size_t len,
	   unsigned char *text)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	size_t		text_len = len - HEAD_BYTES - TAG_BYTES;
	unsigned char tag[TAG_BYTES];
	int			n = 0;
	bool		good;

	memcpy(tag, token + len - TAG_BYTES, TAG_BYTES);
	good = context != NULL &&
		EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, token + 1) == 1 &&
		EVP_DecryptUpdate(context, NULL, &n, token, HEAD_BYTES) == 1 &&
		EVP_DecryptUpdate(context, text, &n, token + HEAD_BYTES, (int) text_len) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
		EVP_DecryptFinal_ex(context, text + n, &n) == 1;
	EVP_CIPHER_CTX_free(context);
	return good;
}

static bool
to_url(const unsigned char *bytes, size_t len, char token[RF_UNSUBSCRIBE_TOKEN_SIZE])
{
	size_t		n;

	if ((len + 2) / 3 * 4 >= RF_UNSUBSCRIBE_TOKEN_SIZE)
		return false;
	n = (size_t) EVP_EncodeBlock((unsigned char *) token, bytes, (int) len);
	while (n > 0 && token[n - 1] == '=')
		token[--n] = '\0';
	for (size_t i = 0; i < n; i++)
	{
		if (token[i] == '+')
			token[i] = '-';
		else if (token[i] == '/')
			token[i] = '_';
	}
	return true;
}

/* One text for each sequence of bytes, so written anew it is the same. */
static bool
from_url(const char *token, size_t len, unsigned char *bytes, size_t *nbytes)
{
	char		standard[RF_UNSUBSCRIBE_TOKEN_SIZE];
	char		again[RF_UNSUBSCRIBE_TOKEN_SIZE];

	if (len == 0 || len >= sizeof(standard))
		return false;
	for (size_t i = 0; i < len; i++)
		standard[i] = token[i] == '-' ? '+' : token[i] == '_' ? '/' : token[i];
	return rf_base64_decode(standard, len, RF_BASE64_ANY, bytes, TOKEN_MAX, nbytes) &&
		to_url(bytes, *nbytes, again) &&
		strlen(again) == len && memcmp(again, token, len) == 0;
}

/* It was authenticated; that it is well-formed is looked at all the same. */
static bool
read_text(const unsigned char *text, size_t len, RfUnsubscribe *what)
{
	size_t		stream_len = text[0];
	const unsigned char *address = text + 1 + stream_len;
	size_t		address_len;

	if (stream_len > RF_UNSUBSCRIBE_STREAM_MAX || 1 + stream_len >= len)
		return false;
	address_len = strnlen((const char *) address, len - 1 - stream_len);
	if (address_len == 0 || address_len > RF_UNSUBSCRIBE_ADDRESS_MAX ||
		address_len == len - 1 - stream_len)
		return false;
	memcpy(what->stream, text + 1, stream_len);
	memcpy(what->address, address, address_len);
	return true;
}
