// Package storagetest tests that a storage engine does what the server wants of it. Whoever writes a
// storage module runs it in a test:
//
//	func TestStorage(t *testing.T) {
//		storagetest.Run(t, storagetest.Suite{
//			New:     func(t *testing.T) storage.Storage { return &MyStorage{Path: t.TempDir()} },
//			Durable: true,
//		})
//	}
package storagetest
