// Package storage provides the built-in storages of the SIP app, the modules sip.storage.bolt and
// sip.storage.memory. There is one storage for all servers, and it holds registrations and key
// records.
//
//	{
//		sip {
//			storage bolt /var/lib/caddy/phones.db
//
//			:5060 {
//				register
//				proxy
//			}
//		}
//	}
//
// [Bolt], the default, keeps everything in one bbolt file, sip/sip.db in Caddy's data directory,
// that belongs to one process at a time. Keys are on disk when whoever set them is answered;
// registrations follow within a second, and no phone waits for the disk. If the file is damaged, or
// is in use by another process, the configuration does not load, and the error says what to do.
//
// [Memory] keeps everything over a reload and nothing over a restart.
//
// The package's README says what a reload with another storage does. The interface of a storage is
// in the package storage at the top of the repository, and docs/storage.md shows how to write one.
package storage
